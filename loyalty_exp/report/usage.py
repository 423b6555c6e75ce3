"""What click says of a command written wrongly, so that it can be told in another language.

Only words; of the releases of click that are supported, wherever they differ.
"""

from __future__ import annotations

from loyalty_exp.report.sayings import N_

__all__ = ["OF_A_COMMAND"]

OF_A_COMMAND = (
    N_("Usage: %(command)s"),
    N_("Try '%(command)s' for help."),
    N_("Error: %(error)s"),
    N_("Invalid value for %(argument)s: %(why)s"),
    N_("Invalid value: %(why)s"),
    N_("Missing argument %(argument)s."),
    N_("Missing command."),
    N_("No such command %(command)s."),
    N_("No such command %(command)s. Did you mean %(other)s?"),
    N_("No such command %(command)s. (Did you mean one of: %(others)s?)"),
    N_("No such option %(option)s."),
    N_("No such option %(option)s. Did you mean %(other)s?"),
    N_("No such option %(option)s. (Did you mean one of: %(others)s?)"),
    N_("No such option: %(option)s Did you mean %(other)s?"),
    N_("No such option: %(option)s (Possible options: %(others)s)"),
    N_("No such option: %(option)s"),
    N_("Got unexpected extra argument (%(argument)s)"),
    N_("Got unexpected extra arguments (%(arguments)s)"),
    N_("Option %(option)s requires an argument."),
    N_("Option %(option)s requires %(n)s arguments."),
    N_("Option %(option)s does not take a value."),
    N_("%(value)s is not one of %(others)s."),
    N_("%(value)s is not a valid integer range."),
    N_("%(value)s is not a valid integer."),
    N_("%(value)s is not in the range %(range)s."),
    N_("%(value)s is not a date; write it as 2026-03-31"),
    N_("File %(file)s is a directory."),
    N_("%(file)s: a CSV file is written; name it *.csv"),
)
"""Lines of a usage error, and their parts; the loosest are tried last."""
