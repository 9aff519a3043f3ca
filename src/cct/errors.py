"""The error that a user can fix."""


class CCTError(Exception):
    """A mistake outside the code (a parameter, a file, the network). Its message is all that the user needs."""
