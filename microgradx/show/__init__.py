"""Pictures and explanations of what the engine does; nothing here changes what it computes."""
