from collector.cli.database.group import command

__all__ = ["command"]
