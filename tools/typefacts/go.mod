module typefacts

go 1.24
