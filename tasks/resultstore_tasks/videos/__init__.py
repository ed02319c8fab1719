"""Posters and previews of videos, made by ffmpeg in the sandbox."""
