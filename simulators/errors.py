"""What a user can put right: one sentence that names the file, the row or the argument, and says what to do."""


class InputError(ValueError):
    """Input that cannot be used as it is; the command line prints its message and exits with code 2."""


class MissingExtraError(ImportError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency: pip install 'sandtable[{extra}]'")
