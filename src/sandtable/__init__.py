"""sandtable: simulators and decision-process environments, with the agents, estimators and analyses that go with them."""
