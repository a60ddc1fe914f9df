"""What a chapter calls: it draws seeds, trains, times, judges, records, and says at its end where it ran."""
