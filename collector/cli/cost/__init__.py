"""`collector cost`: see `group`."""

from collector.cli.cost.group import command as command
