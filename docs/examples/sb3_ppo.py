"""Stable-Baselines3's PPO orders for a product with lost sales; needs ``pip install 'sandtable[rl]'``."""

import gymnasium as gym
from stable_baselines3 import PPO

import sandtable  # noqa: F401  # registers the environments
from sandtable.agents.stable_baselines import to_sb3

env = to_sb3(gym.make_vec("sandtable/LostSales-v0", num_envs=64, lead_time=1, horizon=50))
model = PPO("MlpPolicy", env, n_steps=32, batch_size=512, n_epochs=4, learning_rate=3e-3, seed=0)
model.learn(total_timesteps=60_000)
returns = [episode["r"] for episode in model.ep_info_buffer]
print(f"cost a period: {-sum(returns) / len(returns) / 50:.2f}")
