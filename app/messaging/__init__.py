"""Redis: connections, the subscription, the journal."""
