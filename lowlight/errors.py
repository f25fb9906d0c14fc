"""The one kind of error that is the user's to mend."""


class UserError(Exception):
    """Something is wrong with what was given; the message says what, what was received and how to mend it.

    Raised where the fact is known and shown as a single line, without a traceback, by `lowlight.system.run`.
    """
