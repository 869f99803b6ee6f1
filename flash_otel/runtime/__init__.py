"""What a process needs: guard, forks, exit, options, locks."""
