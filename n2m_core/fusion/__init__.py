"""Spatiotemporal fusion: the fine image of a date that has only a coarse one.

| file | what |
|---|---|
| inputs | what every method takes and gives |
| naive | copies and added coarse changes, the bar for everything else |
| windows | strips with a margin, worked on by a few threads |
| starfm, estarfm, fsdaf | the classical methods, vectorised |
| cards | checkpoints of learned fusion: card, saving, loading |
| bands | which of a network's band slots an image's bands go into |
| filling | values for masked pixels, so that a network sees none |
| learned | SA-STF and its learned peer as methods |
"""
