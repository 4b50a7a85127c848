"""What an editor wrote: held against what a page may hold, and told in Dutch with file, line and what to do."""
