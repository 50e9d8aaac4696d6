"""The latest value of every slot on its way to Firebase, with one writer per slot."""
