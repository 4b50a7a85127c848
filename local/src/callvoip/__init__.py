"""The whole of callvoip on one machine, and the commands behind `./dev`."""
