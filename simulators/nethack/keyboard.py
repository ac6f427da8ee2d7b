"""The keys of NetHack: bytes, names, and the numbers that data and policies give them. Pure data; it needs no engine.

The NetHack Learning Environment (NLE 1.3.0, ``nle.nethack.ACTIONS``) lists 121 actions, of which ``+``, ``"`` and ``$``
each occur twice: as a command and as a character to type. There are 118 distinct bytes. Here a key's number is the rank
of its byte among them, so that a recorded byte has one number and no second meaning.
"""

import numpy as np

from sandtable.simulators.errors import InputError

_DIRECTIONS = "north k east l south j west h north_east u south_east n south_west b north_west y"
_COMMANDS = """
    up < down > wait . more ^M extended # extended_list M-? adjust M-a annotate M-A apply a attributes ^X autopickup @
    call C cast Z chat M-c close c conduct M-C dip M-d drop d drop_type D eat e engrave E enhance M-e escape ^[ fight F
    fire f force M-f glance ; history V inventory i inventory_type I invoke M-i jump M-j kick ^D known \\ known_class `
    look : loot M-l monster M-m move m move_far M offer M-o open o options O overview ^O pay p pick_up , pray M-p
    put_on P quaff q quit M-q quiver Q read r redraw ^R remove R ride M-R rub M-r rush g rush_more G save S search s
    see_all * see_amulet " see_armor [ see_gold $ see_rings = see_spells + see_tools ( see_trap ^ see_weapon )
    shell ! sit M-s swap x take_off T take_off_all A teleport ^T throw t tip M-T travel _ turn_undead M-t
    two_weapon X untrap M-u version M-v version_short v wear W what_does & what_is / wield w wipe M-w zap z"""
_CHARACTERS = "plus + minus - space SPC apostrophe ' quote \" " + " ".join(f"digit_{d} {d}" for d in range(10))


def key_byte(key: str) -> int:
    """Return the byte of a key as NetHack writes it: ``"s"``, ``"^D"`` (control), ``"M-p"`` (meta), ``"SPC"``.

    Raises:
        InputError: It is none of these.
    """
    if len(key) == 1 and key.isascii():
        return ord(key)
    if key == "SPC":
        return ord(" ")
    if len(key) == 2 and key[0] == "^" and "@" <= key[1] <= "_":
        return ord(key[1]) & 0x1F
    if len(key) == 3 and key.startswith("M-") and key.isascii():
        return ord(key[2]) | 0x80
    raise InputError(f"key {key!r}: write one character, ^X for control, M-x for meta, or SPC")


def key_text(byte: int) -> str:
    """Return how NetHack writes the key of a byte in [0, 255]; the inverse of ``key_byte``."""
    if byte >= 0x80:
        return f"M-{chr(byte & 0x7F)}"
    if byte < 0x20:
        return f"^{chr(byte | 0x40)}"
    return "SPC" if byte == ord(" ") else chr(byte)


def _named(table: str) -> list[tuple[str, int]]:
    """Return the (name, byte) pairs of a table of names and keys in turn."""
    words = table.split()
    return [(name, key_byte(key)) for name, key in zip(words[::2], words[1::2], strict=True)]


_steps = _named(_DIRECTIONS)
KEYBOARD: tuple[tuple[str, int], ...] = (
    *_steps,
    *((f"far_{name}", ord(chr(byte).upper())) for name, byte in _steps),
    *_named(_COMMANDS),
    *_named(_CHARACTERS),
    ("dollar", ord("$")),
)
"""The 121 actions of NLE in its order, as (name, byte)."""

SCORE_BYTES: tuple[int, ...] = tuple(
    dict(KEYBOARD)[name]
    for name in ("more", *(name for name, _ in KEYBOARD[:16]), "up", "down", "wait", "kick", "eat", "search")
)
"""The bytes of the 23 actions of NLE's ``NetHackScore``, in its order."""

CANONICAL_BYTES: tuple[int, ...] = tuple(sorted({byte for _, byte in KEYBOARD}))
"""The 118 distinct bytes, ascending: a key's number is its place here."""

KEYS = len(CANONICAL_BYTES)
"""How many keys there are; the number of the key before a game's first one, which nobody pressed."""

UNKNOWN_KEY = 255
"""The number of a byte that is no key of the keyboard."""

KEY_OF_BYTE: np.ndarray = np.full(256, UNKNOWN_KEY, np.uint8)
"""uint8 [256]: the number of a byte's key, in [0, 118), or ``UNKNOWN_KEY``."""
KEY_OF_BYTE[list(CANONICAL_BYTES)] = np.arange(KEYS)
KEY_OF_BYTE.setflags(write=False)

KEY_NAMES: tuple[str, ...] = tuple({byte: name for name, byte in reversed(KEYBOARD)}[b] for b in CANONICAL_BYTES)
"""The names of the 118 keys by number; of a byte with two names, the command's."""

ACTIONS: dict[str, tuple[int, ...]] = {
    "score": SCORE_BYTES,
    "keyboard": tuple(byte for _, byte in KEYBOARD),
    "canonical": CANONICAL_BYTES,
}
"""The sets of actions an environment offers: the byte of each action, by the action's number."""
