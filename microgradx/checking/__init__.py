"""What finds mistakes: gradients against finite differences, and NaN caught at its source."""
