"""The two services: the bridge, and the subscription."""
