"""NetHack as Gymnasium environments whose episodes are functions of arguments, seed and keys."""
