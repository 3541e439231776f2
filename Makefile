.PHONY: help demo test check bench clean

help: ## list the tasks
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: ## set up, score and train real proxies, rank recipes, write demo/report.html
	@python3 dev demo

test: ## set up, then lint, types, layers and all tests
	@python3 dev test

targets: ## remake the miniature's recorded target accuracies (slow)
	@python3 dev run python -m rbridge.miniature.targets

bench: ## timings and ratios (slow)
	@python3 dev run python -m bench

clean: ## remove the environment and what the demo wrote
	rm -rf .venv demo
