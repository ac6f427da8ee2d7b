"""Proximal policy optimisation: a configuration of the importance-weighted objective, trained by the one loop."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from sandtable.agents.actor_critic import ActorCritic
from sandtable.simulators.arrays import Array, tree_map
from sandtable.simulators.decision_process import DecisionProcess
from sandtable.simulators.random import fold_in, make_key
from sandtable.training.checkpoint import Checkpoints
from sandtable.training.keys import replica_keys
from sandtable.training.loop import Training, fit
from sandtable.training.metrics import MetricsSink
from sandtable.training.objectives import ActionDistribution, ImportanceWeighted, Rollouts, distribution_for
from sandtable.training.optimizers import AdamW, Setting
from sandtable.training.progress import Progress

_INITIAL = 0x696E697469616C  # the stream of the initial weights


@dataclass(frozen=True)
class ActorCriticPolicy:
    """A trained network of one replica as a policy for numpy.

    Attributes:
        network: Its actor acts.
        distribution: Over actions.
        observation_space: Of one instance.
        key: Of the draws of actions where play is not deterministic.
    """

    network: ActorCritic
    distribution: ActionDistribution
    observation_space: gym.Space[Any]
    key: int = 0

    def __call__(self, observation: Any) -> np.ndarray:
        """Return the mode's actions, [B, *action_space.shape], of observations [B, ...]."""
        return self._act(observation, None)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[np.ndarray, Any]:
        """Act as Stable-Baselines3's ``predict`` does.

        Args:
            observation: Of one instance, or of a batch, [B, ...].
            state: How often it has drawn: None at first, then what was returned; draws differ between its values.
            episode_start: Not needed.
            deterministic: Whether to take the mode, or to draw.

        Returns:
            The action, or the actions [B, ...], and the next state (None where play is deterministic).
        """
        first = next(iter(observation.values())) if isinstance(observation, dict) else np.asarray(observation)
        space = self.observation_space
        own = next(iter(space.spaces.values())) if isinstance(space, gym.spaces.Dict) else space
        single = np.ndim(first) == len(own.shape or ())
        batch = tree_map(lambda array: np.asarray(array)[None], observation) if single else observation
        count = None if deterministic else int(state or 0)
        action = self._act(batch, count)
        return action[0] if single else action, state if count is None else count + 1

    def _act(self, observation: Any, count: int | None) -> np.ndarray:
        with torch.no_grad():
            rows = tree_map(lambda array: torch.as_tensor(np.array(array))[None].float(), observation)
            parameters, value = self.network(rows)
            if count is None:
                latent = self.distribution.mode(parameters)
            else:
                keys = fold_in(torch.as_tensor(make_key([self.key])), torch.arange(value.shape[1]))[None]
                latent = self.distribution.draw(parameters, self.distribution.noise(keys, torch.tensor([[count]])))
            return self.distribution.action(latent)[0].numpy()


@dataclass(frozen=True)
class LearnedPPO:
    """What a training has brought.

    Attributes:
        training: Of the loop; a step of it is a collection. Each row of its history has the metrics of
            ``ImportanceWeighted``, such as ``reward``, the mean reward a step.
        objective: What it was trained for.
        observation_space: Of one instance.
        environment_steps: Steps of the world that each replica saw.
    """

    training: Training
    objective: ImportanceWeighted
    observation_space: gym.Space[Any]
    environment_steps: int

    def policy(self, replica: int = 0) -> ActorCriticPolicy:
        """Return the policy of one replica."""
        network = self.training.select(replica)
        assert isinstance(network, ActorCritic)
        return ActorCriticPolicy(network, self.objective.policy, self.observation_space)


@dataclass(frozen=True)
class PPO:
    """Settings, with Stable-Baselines3's defaults (2.9; its names in brackets).

    Attributes:
        environments: Episodes side by side (n_envs).
        periods: Steps of each between updates (n_steps).
        batch: Steps a minibatch (batch_size); divides those of a collection.
        epochs: How often a collection is gone through (n_epochs).
        learning_rate: Of Adam with eps 1e-5; one number, or one for each replica.
        discount: In [0, 1] (gamma).
        trace: lambda of the advantages, in [0, 1] (gae_lambda).
        clip: How far a minibatch may follow the ratio of probabilities (clip_range).
        normalise_advantages: In each minibatch (normalize_advantage).
        entropy_weight: At least 0 (ent_coef).
        value_weight: At least 0 (vf_coef).
        largest_gradient: Bound of the gradient's norm (max_grad_norm).
        hidden: Widths of the hidden layers of actor and critic (net_arch).
        squashed: Whether tanh keeps continuous actions within their bounds; by default they are cut.
        replicas: Networks trained side by side, each with data of its own.
    """

    environments: int = 1
    periods: int = 2048
    batch: int = 64
    epochs: int = 10
    learning_rate: Setting = 3e-4
    discount: float = 0.99
    trace: float = 0.95
    clip: float = 0.2
    normalise_advantages: bool = True
    entropy_weight: float = 0.0
    value_weight: float = 0.5
    largest_gradient: float = 0.5
    hidden: tuple[int, ...] = (64, 64)
    squashed: bool = False
    replicas: int = 1

    def objective(self, process: DecisionProcess) -> ImportanceWeighted:
        """Return the objective in a world.

        Raises:
            ValueError: The batch does not divide a collection, or actions are neither Discrete nor a Box of shape [k].
        """
        return ImportanceWeighted(
            Rollouts(process, self.environments, self.periods),
            distribution_for(process.action_space, self.squashed),
            "clipped",
            discount=self.discount,
            trace=self.trace,
            clip=self.clip,
            epochs=self.epochs,
            batch=self.batch,
            value_weight=self.value_weight,
            entropy_weight=self.entropy_weight,
            normalise_advantages=self.normalise_advantages,
        )

    def network(self, process: DecisionProcess, keys: Array) -> ActorCritic:
        """Return the untrained networks of the replicas, one key each, [R]."""
        policy = distribution_for(process.action_space, self.squashed)
        return ActorCritic(self.replicas, process.observation_space, policy, self.hidden, fold_in(keys, _INITIAL))

    def optimizer(self) -> AdamW:
        """Return Adam as Stable-Baselines3's PPO has it."""
        return AdamW(self.learning_rate, eps=1e-5, weight_decay=0.0)

    def learn(
        self,
        process: DecisionProcess,
        key: int | Array,
        steps: int,
        *,
        checkpoint: Path | str | None = None,
        checkpoint_every: int = 50,
        metrics: MetricsSink | None = None,
        log_every: int = 1,
        device: torch.device | str = "cpu",
        mode: str = "eager",
        progress: Progress | None = None,
    ) -> LearnedPPO:
        """Train in a world.

        Args:
            process: The world.
            key: A seed, or one key a replica, [R]: of the initial weights, the world's draws and the actions.
            steps: Steps of the world that each replica sees, at least 1; rounded up to whole collections.
            checkpoint: Folder for the training's state; an interrupted training continues from there.
            checkpoint_every: Collections between checkpoints.
            metrics: Takes the rows of metrics.
            log_every: Collections between rows.
            device: Where to train.
            mode: How steps are done, see ``fit``. ``"scan"`` compiles for a minute at most, and then does small
                minibatches several times faster.
            progress: Called after each row.
        """
        objective = self.objective(process)
        keys = replica_keys(key, self.replicas)
        network = self.network(process, keys)
        collections = -(-steps // objective.source.samples)
        training = fit(
            network,
            objective,
            key=keys,
            steps=collections,
            optimizer=self.optimizer(),
            clip=self.largest_gradient,
            checkpoint=None if checkpoint is None else Checkpoints(checkpoint, checkpoint_every),
            metrics=metrics,
            log_every=log_every,
            device=device,
            mode=mode,
            progress=progress,
        )
        return LearnedPPO(training, objective, process.observation_space, collections * objective.source.samples)
