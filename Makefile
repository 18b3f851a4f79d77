# Thin names for dev.py, which does the work and its own set-up. `make` lists them.
.PHONY: help demo test lint format types compatibility docs
help:
	@python3 dev.py help
demo test lint format types compatibility docs:
	@python3 dev.py $@
