"""Scenes of any size: cut into blocks, worked on in parallel, written as they are done.

| file | what |
|---|---|
| blocks | where the blocks lie, and what each one needs |
| jobs | what every kind of job has in common |
| scenes, rasters | what a job opens, and what it writes |
| maps, refine, fuse | the jobs of the tasks |
| journal | what is done, kept so that a killed run goes on |
| engine | reading, computing and writing at the same time, on this machine |
| cluster | the same over dask workers |
| regions | connected areas across blocks: smallest area, polygons |
| run | a job from its first pixel to the finished files |
"""
