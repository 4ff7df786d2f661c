module cloister.example/journal

go 1.27
