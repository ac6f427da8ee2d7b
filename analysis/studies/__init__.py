"""The studies: a module each, found by being here. Modules are light to import."""
