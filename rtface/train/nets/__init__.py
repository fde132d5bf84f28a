"""Network definitions: plain 3x3 convolutions that fold into single kernels at export."""
