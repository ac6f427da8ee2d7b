"""sandtable: simulators and decision-process environments, with the agents, estimators and analyses that go with them.

Importing it registers the Gymnasium environments, under ids such as ``sandtable/LostSales-v0``. It imports no torch.
"""

from importlib.metadata import version

import gymnasium

__version__ = version("sandtable")

ENVIRONMENTS = {
    "sandtable/LostSales-v0": "sandtable.envs.inventory:lost_sales",
    "sandtable/DualSourcing-v0": "sandtable.envs.inventory:dual_sourcing",
    "sandtable/SerialInventory-v0": "sandtable.envs.inventory:serial_inventory",
    "sandtable/Inventory-v0": "sandtable.envs.inventory:inventory",
    "sandtable/LinearMDP-v0": "sandtable.envs.ope:linear_mdp",
    "sandtable/SparseParity-v0": "sandtable.envs.tasks:sparse_parity",
    "sandtable/GroupOperation-v0": "sandtable.envs.tasks:group_operation",
    "sandtable/Tabular-v0": "sandtable.envs.tasks:tabular",
    "sandtable/NetHackScore-v0": "sandtable.envs.nethack.env:net_hack_score",
    "sandtable/NetHackChallenge-v0": "sandtable.envs.nethack.env:net_hack_challenge",
    "sandtable/CompletionBandit-v0": "sandtable.envs.language.bandit:completion_bandit",
    "sandtable/CompletionText-v0": "sandtable.envs.language.text:completion_text",
}
"""Ids of the environments, and what makes them: ``<entry>_env`` one, ``<entry>_vector_env`` a batch."""

for _id, _entry in ENVIRONMENTS.items():
    if _id not in gymnasium.registry:
        gymnasium.register(_id, entry_point=f"{_entry}_env", vector_entry_point=f"{_entry}_vector_env")
