.PHONY: help demo miniature miniature-full test bench bench-gguf bench-real targets docs clean

help: ## list the tasks
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: ## set up, score and train real proxies, rank recipes, write demo/report.html
	@python3 dev demo

miniature: ## the whole claim on 14 recipes: proxies, targets, every metric against them (30 minutes)
	@python3 dev run rbridge miniature -o miniature

miniature-full: ## all 42 recipes, four sizes, three seeds, recorded into the package (hours; goes on where it stopped)
	@python3 dev run rbridge miniature --full -o miniature-full --record src/rbridge/miniature/data/full

test: ## set up, then lint, types, layers and all tests
	@python3 dev test

targets: ## remake the miniature's recorded target accuracies (slow)
	@python3 dev run python -m rbridge.miniature.targets

bench: ## measure speed, coverage and agreement (slow: every script of bench/)
	@python3 dev bench

bench-gguf: ## compile llama-cpp-python (most of an hour) and compare it with transformers on GGUF files
	@python3 dev bench-gguf

bench-real: ## fetch real models and corpora (1.2 GB) and read them: published accuracies, proxies on real text
	@python3 dev bench-real

docs: ## rewrite docs/commands.md from the commands' --help
	@python3 dev run python -m tests.reference

clean: ## remove the environment and what the demo wrote
	rm -rf .venv demo miniature
