"""Networks of other papers, for comparison with Noise2Map on equal terms.

Each is small enough for two processor cores: at most 12 GFLOP a 256 px tile (a pair for change) and
4 to 14 million parameters, the range of our compact network (6.3 GFLOP, 8.3 million), so that a
difference in score is not one of size. All are trained from random weights by the same loop, on
clean images (noise process `none`), and ignore the timestep. None drops anything out at random:
dropout draws from a global generator, which a resumed run could not take up again.

monai and transformers are slow to import and wait until one of their networks is built.
"""
