"""Where a completion ends: a model goes on after its answer, so it is cut at the first of some strings."""

from dataclasses import dataclass

from sandtable.simulators.errors import InputError

NAMED = {
    "none": (),
    "humaneval": ("\nclass", "\ndef", "\n#", "\nif", "\nprint"),
    "mbpp": ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n<|/", "\n```"),
}
"""Stop strings by the set of tasks: of HumanEval arXiv 2107.03374, section 2.3; of MBPP those of the BigCode harness,
which arXiv 2402.14688 samples with."""


@dataclass(frozen=True)
class StopRule:
    """Cuts a text before the first of some strings.

    Attributes:
        strings: Each not empty; none: nothing is cut.
    """

    strings: tuple[str, ...] = ()

    def cut(self, text: str) -> str:
        """Return the text up to the first stop string."""
        return text[: min((at for one in self.strings if (at := text.find(one)) >= 0), default=len(text))]


def stop_rule(name: str) -> StopRule:
    r"""Return a rule by its name, or that of one string.

    Args:
        name: ``humaneval``, ``mbpp`` or ``none``; or the string itself, in which ``\n`` and ``\t`` are a line's end and
            a tabulator.

    Raises:
        InputError: The string is empty.
    """
    if name in NAMED:
        return StopRule(NAMED[name])
    if not name:
        raise InputError(f"--stop: the string is empty; name {', '.join(NAMED)}, or a string")
    return StopRule((name.replace(r"\n", "\n").replace(r"\t", "\t"),))
