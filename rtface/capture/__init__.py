"""Where frames come from: cameras, files, folders of pictures, network streams, the demo clip."""
