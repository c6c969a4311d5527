"""How a simulator's state becomes a picture: cameras, rays, OpenGL."""
