"""The online application: an OpenAI-shaped images interface and a page over one generator bundle, on Ray Serve."""
