"""Train networks whose features keep the class and forget the nuisance, and measure what is left."""
