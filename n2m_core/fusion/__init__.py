"""Spatiotemporal fusion: the fine image of a date that has only a coarse one.

| file | what |
|---|---|
| inputs | what every method takes and gives |
| cards | checkpoints of learned fusion: card, saving, loading |
| bands | which of a network's band slots an image's bands go into |
| filling | values for masked pixels, so that a network sees none |
| learned | SA-STF and its learned peer as methods |
"""
