"""Many machines, by Ray: archives of files, and cameras placed on nodes. Needs the extra ``ray``; nothing else does."""
