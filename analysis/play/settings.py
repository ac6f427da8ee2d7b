"""What a user decides about games that are played. Light to import: the command line builds its help from it."""

from dataclasses import dataclass

import tyro


@dataclass(frozen=True, kw_only=True)
class GameSettings:
    """Which games are played.

    Attributes:
        env: Id of the environment, for example CartPole-v1; package:ID imports the package first.
        policy: random; module:function or module:Class of one's own; or sb3:ALGO:FILE, saved by Stable-Baselines3.
        games: How many games, each played to its end: those of the seeds from --seed on.
        seed: Of the first game.
        workers: Processes that the games are spread over; what comes out does not depend on it.
        max_steps: A game is cut after so many steps; by default the environment decides.
        set: An argument of the environment, as ARGUMENT=VALUE; the value is JSON, or else text. It may be repeated.
        deterministic: Take the likeliest action of a policy that gives probabilities, instead of drawing one.
        trust: Load files that are unpickled (sb3), which runs whatever code they hold.
    """

    env: str
    policy: str
    games: int = 200
    seed: int = 0
    workers: int = 2
    max_steps: int | None = None
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    deterministic: bool = False
    trust: bool = False


@dataclass(frozen=True, kw_only=True)
class PlaySettings(GameSettings):
    """Which games are played, and how they are judged.

    Attributes:
        envs: Games under way at the same time, for policies that act in many at once (none of those above does);
            what comes out does not depend on it.
        alpha: Intervals hold the truth with probability 1 - alpha.
    """

    envs: int = 32
    alpha: float = 0.05
