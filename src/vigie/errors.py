"""What can go wrong, in words for the person who meets it.

The command line prints the message of a `VigieError` as one line and exits with 1; anything else is a bug
and keeps its traceback. A message says where, what was found and what to do.
"""


class VigieError(Exception):
    """The root of all errors that a person can mend."""


class BadSetting(VigieError):
    """A setting, an option or an experiment that is missing, misspelt or out of range."""


class BadAnnotation(VigieError):
    """A label file that cannot be read or that contradicts its picture."""


class BadPicture(VigieError):
    """A picture that cannot be decoded or is larger than allowed. A detector returns it in the picture's place."""


class BadData(VigieError):
    """A data set that cannot be used: no pictures, an empty part, records of another label map."""


class BadRun(VigieError):
    """A run that lacks what is asked of it, or that was made from other inputs."""


class BadBundle(VigieError):
    """A model bundle whose files, manifest or outputs do not agree."""


class BusUnavailable(VigieError):
    """The message bus does not answer or refuses us."""


class BadMessage(VigieError):
    """A message that does not follow the format it claims: poison, never an outage."""


class Unavailable(VigieError):
    """Something on this machine is missing or taken: a program, a port, a process."""


class DemoFailed(VigieError):
    """The demo ran and did not show what it promises."""
