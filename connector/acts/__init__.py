"""What people may ask for, once: checked, carried out and put into the trail, whichever face it is asked through."""
