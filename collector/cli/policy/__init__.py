from collector.cli.policy.group import command

__all__ = ["command"]
