"""The errors of the publisher. Their text is one line that a person can act on."""


class PublisherError(Exception):
    """Anything that the publisher raises on purpose, but for a wrong argument (ValueError)."""


class NotPublished(PublisherError):
    """Redis did not take the message, and it was not kept: the same call may succeed later."""


class WrongPublisherSetting(PublisherError):
    """An environment variable is wrong; the text names the variable and the fix."""
