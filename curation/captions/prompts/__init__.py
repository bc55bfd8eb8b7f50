"""Prompts for vision-language models: one YAML file each, and `prompt`, which reads them."""
