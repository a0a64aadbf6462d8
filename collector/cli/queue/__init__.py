from collector.cli.queue.group import command

__all__ = ["command"]
