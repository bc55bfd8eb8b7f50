"""What picture files say of themselves before a pixel is decoded: kind, size, orientation, profile, wholeness."""
