"""What a message has to name, whatever its words are."""


def assert_names(message, *facts):
    """A message names the file, sample, option or value that it is about."""
    missing = [fact for fact in facts if str(fact) not in message]
    assert not missing, f"{missing} are not in: {message}"
