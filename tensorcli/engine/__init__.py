"""The half that computes: the only place that imports torch. It reaches no terminal."""
