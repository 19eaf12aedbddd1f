"""The engines that tools/versus compares, each as C text and sources for one common harness."""
