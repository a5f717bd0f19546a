"""Names of runs: two short words, easy to read out and to type."""

from collections.abc import Iterator
from random import SystemRandom

_HOW = (
    "able airy amber ample apt azure bold brave brisk bright calm clear cool coral crisp dear deft dry "
    "eager early even fair fine firm fond free fresh full glad gold good grand green happy hardy jade "
    "keen kind large light lively lucky merry mild neat new nimble noble open pale plain proud quick "
    "quiet rapid rare ready rich ripe rosy round sharp shy silver slim small smart snug soft solid spry "
    "still sunny sure swift tall tidy true vivid warm wide wise young"
)
_WHO = (
    "ant ape auk badger bat bear beaver bee bison boar bream buck carp cat clam cod colt crab crane crow "
    "deer dove duck eagle eel elk emu falcon fawn finch fox frog gecko goat goose gull hare hawk hen "
    "heron horse ibex ibis jay kite kiwi koala lamb lark lion llama lynx mole moose moth mouse mule newt "
    "ostrich otter owl ox panda pike pony puma quail rabbit ram raven robin rook seal shark sheep shrew "
    "skunk sloth snail squid stork swan tapir tern tiger toad trout tuna turtle viper vole wasp whale "
    "wolf wren yak zebra"
)


def names() -> Iterator[str]:
    """Yield names at random, without end: ``brisk-otter``, and after some tries ``brisk-otter-2`` and on."""
    choose, number = SystemRandom().choice, 1
    how, who = _HOW.split(), _WHO.split()
    while True:
        for _ in range(8):
            name = f"{choose(how)}-{choose(who)}"
            yield name if number == 1 else f"{name}-{number}"
        number += 1
