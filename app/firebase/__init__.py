"""Firebase Realtime Database: client, paths, rate limit, event stream."""
