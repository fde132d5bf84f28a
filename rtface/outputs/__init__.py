"""Where results go: JSON lines, an annotated video or picture, a window."""
