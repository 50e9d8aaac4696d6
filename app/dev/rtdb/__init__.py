"""An RTDB-compatible development server. It imports nothing of this project."""
